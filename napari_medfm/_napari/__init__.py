"""napari's side of the annotation: layers, mouse, keys, letters, and what the manifest names.

Knows napari and the session; knows neither Qt nor torch. Every callback is a bound
method that its owner disconnects in ``teardown()``.
"""
