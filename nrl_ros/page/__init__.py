"""The live page: what a browser is shown of runs, who may steer them, and the web server."""
