"""Models by name: nothing is imported before a model is loaded, and every failure is worded."""

import logging
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from napari_medfm.errors import ModelError, UnknownModelError, WeightsError
from napari_medfm.models import (
    ModelEntry,
    ModelFacts,
    ModelRegistry,
    PromptableModel,
    available_models,
    load_model,
    register_model,
)

GROUP = "napari_medfm.models"
FACTS = ModelFacts("Made up")
LISTING = """
import sys
from napari_medfm.models import available_models, register_model
register_model("later", "a_module_that_is_not_there:load")
print(*(entry.name for entry in available_models()))
heavy = {"torch", "segment_anything", "napari_medfm.models.backends", "napari", "qtpy", "a_module_that_is_not_there"}
print(*sorted(heavy & sys.modules.keys()))
"""


def entry(name="made_up", factory="made_up_model:load"):
    """Return an entry that names a module which may not exist."""
    return ModelEntry(name, factory, FACTS)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes an importable module and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


class TestLaziness:
    def test_listing_models_imports_no_model_and_no_torch(self):
        done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=True, timeout=60)
        names, heavy = done.stdout.split("\n")[:2]
        assert names.split()[:2] == ["compact", "random_walker"]
        assert names.split()[-1] == "later"
        assert heavy == ""

    def test_a_factory_is_imported_when_its_model_is_loaded_and_not_before(self, module):
        name = module("imported_late", _MODEL)
        registry = ModelRegistry([entry(factory=f"{name}:load")])
        assert registry.entries()[0].facts is FACTS
        assert registry.entry("made_up").factory == f"{name}:load"
        assert name not in sys.modules
        assert isinstance(load_model("made_up", registry=registry), PromptableModel)
        assert name in sys.modules

    def test_other_packages_are_asked_once_and_only_when_needed(self):
        asked = []
        registry = ModelRegistry([entry()], lambda: asked.append(1) or ())
        assert not asked
        registry.entries()
        registry.entry("made_up")
        registry.entries()
        assert len(asked) == 1


class TestRegistering:
    def test_the_facts_are_known_before_loading(self):
        facts = {entry.name: entry.facts for entry in available_models()}
        assert facts["random_walker"].weights == "none"
        assert facts["sam"].weights == "download"
        assert facts["sam"].licence == "Apache-2.0"

    def test_without_facts_the_title_is_the_name(self):
        registry = ModelRegistry()
        register_model("plain", "made_up_model:load", registry=registry)
        assert registry.entries() == (ModelEntry("plain", "made_up_model:load", ModelFacts("plain")),)

    def test_disposing_takes_the_model_out_again(self):
        registry = ModelRegistry()
        dispose = register_model("made_up", "made_up_model:load", registry=registry)
        dispose()
        assert registry.entries() == ()
        with pytest.raises(UnknownModelError):
            registry.entry("made_up")

    def test_disposing_twice_leaves_a_successor_of_the_same_name(self):
        registry = ModelRegistry()
        dispose = registry.register(entry())
        dispose()
        successor = entry(factory="another_model:load")
        registry.register(successor)
        dispose()
        assert registry.entry("made_up") is successor

    def test_the_registry_of_the_process_can_be_added_to_and_is_left_as_it_was(self):
        before = available_models()
        dispose = register_model("made_up", "made_up_model:load", FACTS)
        try:
            assert available_models() == (*before, entry())
        finally:
            dispose()
        assert available_models() == before

    def test_a_name_is_taken_once(self):
        registry = ModelRegistry([entry()])
        with pytest.raises(ModelError, match=r"made_up: is already registered\. Choose another name"):
            registry.register(entry(factory="another_model:load"))
        assert registry.entries() == (entry(),)

    @pytest.mark.parametrize("name", ["", "Sam", "-sam", "my sam", "sam/b", "säm", "sam\n", "../sam"])
    def test_refuses_malformed_names(self, name):
        with pytest.raises(ModelError, match=r"is not a model name.*lower-case") as caught:
            entry(name)
        assert caught.value.subject == repr(name)

    @pytest.mark.parametrize(
        "factory",
        ["", "load", "a.b", "a:", ":load", "a.b:c:d", "a..b:c", "a; b:c", "a.b:c.d", "1a:b"],
    )
    def test_refuses_factories_that_name_nothing(self, factory):
        with pytest.raises(ModelError, match=r"does not name a factory.*'package.module:factory'"):
            entry(factory=factory)


def test_an_entry_has_options_of_its_own_and_the_callers_come_after_them(module):
    factory = f"{module('with_options', _MODEL)}:load"
    shared = ModelEntry("made_up", factory, FACTS, {"size": 3, "colour": "red"})
    assert shared.load(colour="blue").options == {"size": 3, "colour": "blue"}


class TestUnknownModels:
    def test_the_closest_name_is_suggested_and_all_are_listed(self):
        with pytest.raises(UnknownModelError) as caught:
            load_model("Random-Walker")
        assert str(caught.value).startswith("'Random-Walker': is not a registered model. Did you mean 'random_walker'?")
        names = sorted(entry.name for entry in available_models())
        assert f"Known models: {', '.join(names)}." in caught.value.next_step

    def test_nothing_is_suggested_when_nothing_is_close(self):
        with pytest.raises(UnknownModelError) as caught:
            load_model("xyzzy", registry=ModelRegistry([entry()]))
        assert caught.value.next_step == "Known models: made_up."

    def test_an_empty_registry_says_so(self):
        with pytest.raises(UnknownModelError, match=r"Known models: none\."):
            load_model("sam", registry=ModelRegistry())


class TestLoading:
    def test_options_reach_the_factory(self, module):
        name = module("takes_options", _MODEL)
        registry = ModelRegistry([entry(factory=f"{name}:load")])
        assert load_model("made_up", registry=registry, weights="a.pth", side=3).options == {
            "weights": "a.pth",
            "side": 3,
        }

    def test_errors_that_the_factory_words_itself_pass_as_they_are(self):
        with pytest.raises(WeightsError, match="sam: needs a file of weights"):
            load_model("sam")

    @pytest.mark.parametrize(
        ("text", "factory"),
        [
            ("", "gone:load"),
            ("import a_library_that_is_not_there", "broken:load"),
            ("raise OSError('libcudart.so.11: cannot open shared object file')", "broken:load"),
            ("def load(:", "broken:load"),
            ("other = 1", "broken:load"),
        ],
        ids=["no module", "lacks a library", "fails on import", "syntax error", "no such factory"],
    )
    def test_a_factory_that_cannot_be_imported_is_worded(self, module, text, factory):
        module("broken", text)
        with pytest.raises(ModelError, match=r"made_up: cannot be imported \(.+\)\. Install the package") as caught:
            load_model("made_up", registry=ModelRegistry([entry(factory=factory)]))
        assert caught.value.__cause__ is not None

    @pytest.mark.parametrize("text", ["def load(): return None", "load = dict"], ids=["nothing", "something else"])
    def test_a_factory_that_makes_no_model_is_worded(self, module, text):
        name = module("makes_no_model", text)
        with pytest.raises(ModelError, match=r"made_up: .* is no promptable model\. Report it"):
            load_model("made_up", registry=ModelRegistry([entry(factory=f"{name}:load")]))


class TestEntryPoints:
    def test_models_of_other_packages_come_last(self, module):
        name = module("a_package", _ENTRY)
        registry = ModelRegistry([entry()], lambda: [EntryPoint("theirs", f"{name}:ENTRY", GROUP)])
        assert [found.name for found in registry.entries()] == ["made_up", "theirs"]
        assert registry.entry("theirs").facts.title == "Theirs"

    def test_a_model_of_another_package_can_be_loaded(self, module):
        module("made_up_model", _MODEL)
        registry = ModelRegistry(discover=lambda: [EntryPoint("theirs", f"{module('theirs', _ENTRY)}:ENTRY", GROUP)])
        model = load_model("theirs", registry=registry)
        assert model.encode(np.zeros((4, 5), np.uint8)).image_shape == (4, 5)

    @pytest.mark.parametrize(
        "text",
        [
            "import a_library_that_is_not_there",
            "raise RuntimeError('no driver')",
            "def broken(:",
            "OTHER = 1",
            "ENTRY = 'not an entry'",
            "from napari_medfm.models import *\nENTRY = ModelEntry('made_up', 'a:b', ModelFacts('x'))",
            "from napari_medfm.models import *\nENTRY = ModelEntry('NOT A NAME', 'a:b', ModelFacts('x'))",
        ],
        ids=["lacks a library", "fails", "syntax error", "no entry", "no ModelEntry", "name taken", "malformed"],
    )
    def test_a_broken_package_is_left_out_with_a_warning_and_takes_no_other_away(self, module, caplog, text):
        points = [
            EntryPoint("broken", f"{module('a_broken_package', text)}:ENTRY", GROUP),
            EntryPoint("theirs", f"{module('a_sound_package', _ENTRY)}:ENTRY", GROUP),
        ]
        registry = ModelRegistry([entry()], lambda: points)
        with caplog.at_level(logging.WARNING, "napari_medfm"):
            assert [found.name for found in registry.entries()] == ["made_up", "theirs"]
        (record,) = caplog.records
        assert "model entry point 'broken' is left out" in record.getMessage()
        assert registry.entry("made_up") == entry()


_ENTRY = """
from napari_medfm.models import ModelEntry, ModelFacts

ENTRY = ModelEntry("theirs", "made_up_model:load", ModelFacts("Theirs"))
"""
_MODEL = """
from napari_medfm.models import ImageEmbedding


class Model:
    spec = None

    def __init__(self, **options):
        self.options = options

    def encode(self, image):
        return ImageEmbedding({}, image.shape[:2], "")

    def decode(self, embedding, prompts, previous=None):
        raise NotImplementedError


def load(**options):
    return Model(**options)
"""
