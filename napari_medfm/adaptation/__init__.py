"""A model that learns a structure from the few slices just labelled.

Owns the support set, what is trained on it, the adapter that comes of it and what an adapted model offers. Trains
on embeddings only. Knows neither sessions nor interfaces: slices come in as values, adapters and proposals go out.
"""
