"""One module per model family; each is imported only when one of its models is loaded.

Backends know the protocol, the weights loader and the transforms, never each other.
"""
