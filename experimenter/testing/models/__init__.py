"""A server on loopback that speaks as the model services do, and fails in every way in which they have failed.

    with FakeModels(["first reply", Fault("rate_limited"), Said(refusal="No.")]) as server:
        ...   # ask at server.openai_url, server.anthropic_url, or with server.environ() as the environment
        server.asked, server.billed

Real client libraries are run against it, so a test needs neither a key nor the network.
"""

from experimenter.testing.models.asked import Asked
from experimenter.testing.models.faults import FAULTS, Fault, FaultName
from experimenter.testing.models.said import Said, Tokens
from experimenter.testing.models.server import KEY, FakeModels

__all__ = ["FAULTS", "KEY", "Asked", "FakeModels", "Fault", "FaultName", "Said", "Tokens"]
