"""scikit-learn compatible estimators for satellite image time series.

Names are listed in ``__init__.pyi`` and imported at first use, so that a command can answer a
wrong option before torch is imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0.dev0"
