"""Drop-in calls: the names, argument order and conventions of other packages.

``compat.cv2``, ``compat.pot``, ``compat.pyemd`` and ``compat.scipy`` answer like the originals,
including what surprises newcomers there; each docstring says what that is. Change the import, keep
the rest.
"""

from __future__ import annotations

from imgsim_fast.compat import cv2, pot, pyemd, scipy

__all__ = ["cv2", "pot", "pyemd", "scipy"]
