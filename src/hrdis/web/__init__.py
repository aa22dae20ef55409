"""The web page: what ``hrdis restore`` does, for people with a browser. See `app.serve`."""

import os

# Set before gradio is imported, which reads it then: nothing is reported to anybody.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
