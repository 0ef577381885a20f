"""Any torch module as the policy network: noise enters the output of each layer with weights.

The rules, traces and optimisers are those of every other network. Arrays of numpy and tensors of
torch share their memory, so nothing is copied between the two on the processor.
"""
