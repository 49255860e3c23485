"""The full-screen face of the experimenter; see ``app.ExperimenterApp``."""
