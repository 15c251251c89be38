"""``python -m napari_medfm._plugin PROJECT``: a viewer with a project, for the command line to start."""

import sys
from pathlib import Path

import napari

from napari_medfm._plugin.project_dock import show_project


def main(folder: Path) -> None:
    """Show a project in a viewer of its own until that is closed."""
    show_project(napari.Viewer(), folder)
    napari.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
