"""Code that several studies share: pages, photographs, measurements of every task."""
