"""A person, or another program, as the planner: questions are Markdown files, and answers are files beside them."""
