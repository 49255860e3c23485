"""The loop: ten stops in LangGraph, the detached runner that drives them, and the launcher that faces use."""
