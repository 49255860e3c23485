"""The embedders: what they promise of vectors, and what they say when a model, a key or a server fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.errors import ConfigError, ExperimenterError, NotFound
from experimenter_memory.embedders.hash import HashEmbedder
from experimenter_memory.embedders.words import stem, words
from experimenter_memory.embedding import embed, load_embedder


def cosine(one, other):
    a, b = HashEmbedder().embed([one, other])
    return float(a @ b)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_hash_vectors_have_length_one_or_zero_whatever_the_text(text):
    (vector,) = HashEmbedder().embed([text])
    assert vector.shape == (1024,) and vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0 if words(text) else 0.0, abs=1e-5)


def test_hash_vectors_are_the_same_in_every_process():
    code = (
        "from experimenter_memory.embedders.hash import HashEmbedder\n"
        "print(HashEmbedder().embed(['Balancing the pole on DoorKey 5x5']).tobytes().hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        ).stdout
        for seed in ("1", "2")
    }
    mine = HashEmbedder().embed(["Balancing the pole on DoorKey 5x5"]).tobytes().hex()
    assert found == {mine + "\n"}


def test_hashing_meets_other_forms_other_words_and_typos():
    far = cosine("balancing the pole", "steering on the road")
    assert cosine("balancing poles", "the pole balanced") > 0.7
    assert cosine("the pole is upright", "the stick is vertical") > far + 0.2
    assert cosine("normalise the observations", "normalisation of observation") > 0.7
    assert cosine("the frobnicators", "a frobnicatr") > far + 0.05


def test_words_are_taken_apart_and_stems_joined():
    assert words("MiniGrid-DoorKey 5x5 Été") == ["mini", "grid", "door", "key", "5", "x", "5", "ete"]
    assert len({stem(word) for word in ("balance", "balanced", "balancing", "balances")}) == 1
    assert stem("policies") == stem("policy") and stem("gas") == "gas"


class Wrong:
    contract, id, size = 1, "wrong", 3

    def __init__(self, value):
        self.value = value

    def embed(self, texts):
        return self.value


@pytest.mark.parametrize("value", [[[1.0, 2.0]], [[1.0, float("nan"), 0.0]], []])
def test_an_embedder_that_breaks_its_contract_is_named(value):
    with pytest.raises(ExperimenterError, match="embedder wrong"):
        embed(Wrong(value), ["x"])


class FakeServer:
    """A real server on loopback that speaks both wire formats, and misbehaves when told to."""

    def __init__(self):
        self.mode, self.seen, self.done = "good", [], threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                owner.seen.append((self.path, dict(self.headers), json.loads(self.rfile.read(length))))
                owner.answer(self)

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler):
        path, _, body = self.seen[-1]
        if self.mode == "silent":
            self.done.wait(30)
            return
        status = {"refused": 401, "missing": 404, "broken": 500}.get(self.mode, 200)
        vectors = [[float(len(text)), 1.0, 0.0] for text in body["input"]]
        if self.mode == "short":
            vectors = vectors[:-1]
        told = {"embeddings": vectors}
        if path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)][::-1]
            told = {
                "object": "list",
                "data": data,
                "model": "m",
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        raw = b"<html>no" if self.mode == "garbage" else json.dumps(told).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    def close(self):
        self.done.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server(monkeypatch):
    fake = FakeServer()
    monkeypatch.setenv("OLLAMA_HOST", fake.url.removeprefix("http://"))
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{fake.url}/v1")
    # Nothing here may wait for the SDK's own retries.
    monkeypatch.setattr("experimenter_memory.embedders.openai.RETRIES", 0)
    yield fake
    fake.close()


NAMES = ["openai:text-embedding-3-small", "ollama:nomic-embed-text"]


@pytest.fixture(params=NAMES)
def name(request):
    if request.param.startswith("openai"):
        pytest.importorskip("openai")
    return request.param


def test_a_server_embeds_in_order_and_in_batches(server, name):
    embedder = load_embedder(name)
    texts = ["x" * n for n in range(1, 301)]
    vectors = embed(embedder, texts)
    assert vectors.shape == (300, 3) and embedder.size == 3
    assert vectors[4] == pytest.approx(np.array([5, 1, 0]) / np.sqrt(26), abs=1e-6)
    assert len(server.seen) == (2 if name.startswith("openai") else 5)
    assert embedder.id == name.replace(":", "-", 1)
    assert all(body["model"] == name.partition(":")[2] for _, _, body in server.seen)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("garbage", "does not answer with embeddings"),
        ("broken", "status 500"),
        ("short", "returned 1 embeddings for 2"),
    ],
)
def test_a_server_that_fails_is_told_from_one_that_is_absent(server, name, mode, words):
    server.mode = mode
    with pytest.raises(ExperimenterError, match=words) as caught:
        load_embedder(name).embed(["a", "b"])
    assert "EMBEDDER=hash" in caught.value.hint


def test_a_model_that_is_not_there_is_a_wrong_setting(server, name):
    server.mode = "missing"
    with pytest.raises(ConfigError, match="has no model"):
        load_embedder(name).embed(["a"])


def test_an_absent_server_is_named(name, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr("experimenter_memory.embedders.openai.RETRIES", 0)
    with pytest.raises(ExperimenterError, match="cannot be reached"):
        load_embedder(name).embed(["a"])


def test_a_silent_server_is_given_up(server, name, monkeypatch):
    server.mode = "silent"
    monkeypatch.setattr("experimenter_memory.embedders.openai.SECONDS", 0.3)
    embedder = load_embedder(name)
    embedder._seconds = 0.3
    began = time.monotonic()
    with pytest.raises(ExperimenterError, match="not answered in"):
        embedder.embed(["a"])
    assert time.monotonic() - began < 20


def test_a_flood_is_cut_off(server, monkeypatch):
    monkeypatch.setattr("experimenter_memory.embedders.ollama.MOST_BYTES", 1000)
    with pytest.raises(ExperimenterError, match="sends more than"):
        load_embedder("ollama:m").embed(["a"] * 64)


def test_a_refused_key_and_a_missing_key_are_said(server, monkeypatch):
    pytest.importorskip("openai")
    server.mode = "refused"
    with pytest.raises(ConfigError, match="refuses the key"):
        load_embedder("openai:m").embed(["a"])
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        load_embedder("openai:m")


def test_a_model_must_be_named_and_an_address_be_one(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    for wrong in ("openai:", "ollama:"):
        with pytest.raises(ConfigError, match="Which model"):
            load_embedder(wrong)
    with pytest.raises(ConfigError, match="cannot be made"):
        load_embedder("ollama")
    monkeypatch.setenv("OLLAMA_HOST", "ftp://x:99999")
    with pytest.raises(ConfigError, match="no address"):
        load_embedder("ollama:m")


def test_minilm_never_downloads_and_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(NotFound, match="MiniLM model is not on this machine") as caught:
        load_embedder("minilm")
    assert "hf download" in caught.value.hint and "minilm:FOLDER" in caught.value.hint


def _tiny_model(folder):
    """A model of MiniLM's shape that looks each token's vector up: enough to prove pooling and padding."""
    onnx = pytest.importorskip("onnx")
    tokenizers = pytest.importorskip("tokenizers")
    from onnx import TensorProto, helper, numpy_helper

    table = np.random.default_rng(0).normal(size=(4, 384)).astype(np.float32)
    ids, mask = (
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"])
        for name in ("input_ids", "attention_mask")
    )
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", 384])
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    graph = helper.make_graph([node], "tiny", [ids, mask], [out], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "pole": 2, "cart": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return table


def test_minilm_averages_tokens_and_leaves_padding_out(tmp_path):
    pytest.importorskip("onnxruntime")
    table = _tiny_model(tmp_path)
    embedder = load_embedder(f"minilm:{tmp_path}")
    long, short = embedder.embed(["pole cart cart", "pole"])
    assert short == pytest.approx(table[2] / np.linalg.norm(table[2]), abs=1e-5)
    mean = (table[2] + 2 * table[3]) / 3
    assert long == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_files_that_are_no_model_are_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    _tiny_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model at all")
    with pytest.raises(ConfigError, match="cannot be read as a model"):
        load_embedder(f"minilm:{tmp_path}").embed(["x"])
    _tiny_model(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[")
    with pytest.raises(ConfigError, match="cannot be read as a tokenizer"):
        load_embedder(f"minilm:{tmp_path}").embed(["x"])
