"""What was used last is kept."""

from napari_medfm.models.recent import Recent


def test_the_value_that_was_not_used_for_longest_goes():
    made = []
    recent = Recent(2)

    def get(key):
        return recent.get(key, lambda: made.append(key) or key.upper())

    assert [get(key) for key in "abacab"] == ["A", "B", "A", "C", "A", "B"]
    assert made == ["a", "b", "c", "b"]
