"""Where ``nrl`` begins: all that it needs is imported within reach of what catches Ctrl-C."""

from __future__ import annotations


def main() -> None:
    """Run the command; Ctrl-C ends it without a traceback, also while it still imports."""
    try:
        from nrl_ros.cli.main import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == '__main__':
    main()
