"""What is never trained on, so that there is something to measure on."""

from collections.abc import Iterable

from napari_medfm.errors import PretrainingError

LEFT_OUT = frozenset(
    {
        "msd_spleen_ct",
        "npc_t2_mr",
        "liver_us",
        "idrid_optic_disc_fundus",
        "glomeruli_histology",
        "faz_octa",
        "totalseg_ct_mr_3d",
        "niivue_brain_mr_3d",
    }
)
"""Data sets that no image is taken of, whatever is asked for: the shipped weights are measured on them."""


def refuse_left_out(datasets: Iterable[str], subject: str) -> None:
    """Refuse data that holds any of `LEFT_OUT`.

    Parameters
    ----------
    datasets : iterable of str
        Names of the data sets.
    subject : str
        What they are in, for the message.

    Raises
    ------
    PretrainingError
        One of them is left out of every training.
    """
    found = sorted(LEFT_OUT.intersection(datasets))
    if found:
        reason = f"holds {', '.join(found)}, on which models are measured and never trained"
        raise PretrainingError(subject, reason, "Pack the training images again without it.")
