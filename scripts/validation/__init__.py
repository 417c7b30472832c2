"""What `validate_labels.py` measures, a module for each question."""
