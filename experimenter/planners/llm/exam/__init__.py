"""The examination of a model: a fixed set of small questions whose right answers are known before anybody is asked."""
