"""The built-in planner: answers every question by search, without a language model."""
