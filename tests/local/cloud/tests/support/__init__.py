"""What several tests share: clouds are in conftest.py."""
