"""Configuration of the documentation. `make docs` builds it, without network."""

import os

import sklearn_sits
from sklearn_sits.physics import Prior, Trait, Variable

os.environ.setdefault("MPLBACKEND", "Agg")
# One core per library in the examples: figures and times do not depend on the machine's load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "sklearn_sits"
author = "The sklearn_sits developers"
copyright = author
version = release = sklearn_sits.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
root_doc = "index"

# Links between pages are those of GitHub: file.md#heading.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

default_role = "literal"
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
# All but these: an extended summary, an example and related functions everywhere; names of what is
# returned, as scikit-learn has them; descriptions of what a name tells; types of parameters that
# are those of another function.
_NOT_CHECKED = "ES01 EX01 GL01 GL08 PR04 RT02 RT03 RT04 RT05 SA01 SA04 SS06"
numpydoc_validation_checks = {"all", *_NOT_CHECKED.split()}
# Those of the base class, and those of torch.
numpydoc_validation_exclude = {
    r"Prosail\.sample_",
    r"RadiativeTransferModel$",
    r"TruncatedNormal\.",
}

# Inventories are only fetched where there is a network: DOCS_ONLINE=1 make docs.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "xarray": ("https://docs.xarray.dev/en/stable", None),
    }
    if os.environ.get("DOCS_ONLINE")
    else {}
)

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"/(landcover|traits)\.py",
    "backreferences_dir": "api/backreferences",
    "doc_module": ("sklearn_sits",),
    "inspect_global_variables": False,
    "remove_config_comments": True,
    "show_memory": False,
    "parallel": int(os.environ.get("DOCS_WORKERS", 2)),
    "abort_on_example_error": True,
    "min_reported_time": 5,
    "download_all_examples": False,
    "within_subsection_order": "ExampleTitleSortKey",
}

templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_title = "sklearn_sits"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
# Only `predict`, not the class in front of it, in the narrow contents of a page.
toc_object_entries_show_parents = "hide"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc", "sg_download_links"],
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}


# Fields of named tuples are parameters already.
_FIELDS = {*Prior._fields, *Trait._fields, *Variable._fields}


def _is_inherited(app, what, name, obj, skip, options):
    """Leave out the methods that scikit-learn and torch document."""
    module = getattr(obj, "__module__", None)
    if options.get("members") and name in ("count", "index", *_FIELDS):
        return True
    return True if module and not module.startswith("sklearn_sits") else None


def setup(app):
    """Connect to Sphinx."""
    app.connect("autodoc-skip-member", _is_inherited)
