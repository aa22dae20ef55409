"""The web page: what ``hrdis restore`` does, for people with a browser. See `page.build` and
``hrdis serve``.
"""

import os

os.environ.setdefault(
    "GRADIO_ANALYTICS_ENABLED", "False"
)  # before gradio is imported: nothing is told to anybody
