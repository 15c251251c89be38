"""Segmenting as the tests have other processes do it."""

from shares import die_once

from napari_medfm.projects import segmenting


def segment_or_die(case):
    """Segment a source; of the one that is named so, the process ends with everything computed and nothing written."""
    order, marker = case
    if order.source.path.name.startswith("killed"):
        write = segmenting.write_labels

        def dying(*arguments):
            die_once(marker)
            return write(*arguments)

        segmenting.write_labels = dying
    return segmenting.segment_source(order)
