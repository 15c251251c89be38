"""A workaround for the canvas: what a deleted buffer leaves behind in OpenGL."""

from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

_ATTRIBUTES = 16
"""Vertex attributes that every OpenGL 2 context has at least."""


def forget_vertex_arrays(widget: QWidget) -> None:
    """Switch off all vertex attributes of every OpenGL canvas in a widget's window.

    To be called before layers are removed. vispy switches the attributes of a program
    on and leaves them so; when their buffers are deleted with a layer, the next draw
    reads from nowhere. Hardware drivers forgive that, Mesa's software renderer
    (virtual screens, remote desktops) ends the process. Each draw switches on what it
    needs, so nothing is lost.
    """
    canvases = widget.window().findChildren(QOpenGLWidget)
    for canvas in canvases:
        if canvas.context() is not None:
            _switch_off(canvas)


def _switch_off(canvas: QOpenGLWidget) -> None:
    from vispy.gloo import gl  # it has the context's functions under either Qt binding

    canvas.makeCurrent()
    for attribute in range(_ATTRIBUTES):
        gl.glDisableVertexAttribArray(attribute)
    canvas.doneCurrent()
