"""What the tables of nnlab.nn promise a reader who lists them."""

import inspect

import pytest

from nnlab.nn import ACTIVATIONS, INITIALIZERS, LOSSES, METRICS

TABLES = {
    "initializers": INITIALIZERS,
    "activations": ACTIVATIONS,
    "losses": LOSSES,
    "metrics": METRICS,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_entry_is_found_by_its_own_name_and_described_by_its_own_sentence(name):
    table = TABLES[name]
    assert all(function.__name__ == word for word, function in table.items())
    sentences = [(inspect.getdoc(function) or "").partition("\n")[0] for function in table.values()]
    assert all(sentences)
    assert len(set(sentences)) == len(sentences)


ELSEWHERE = """
jax initializers: constant delta_orthogonal glorot_normal glorot_uniform he_normal he_uniform
    kaiming_normal kaiming_uniform lecun_normal lecun_uniform normal ones orthogonal
    truncated_normal uniform variance_scaling xavier_normal xavier_uniform zeros
keras initializers: random_normal random_uniform truncated_normal zeros ones constant
    variance_scaling orthogonal identity glorot_normal glorot_uniform he_normal he_uniform
    lecun_normal lecun_uniform
torch initializers: uniform normal constant ones zeros identity dirac xavier_uniform xavier_normal
    kaiming_uniform kaiming_normal trunc_normal orthogonal sparse
jax activations: celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh identity leaky_relu
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_sign softmax softplus
    sparse_plus sparse_sigmoid squareplus swish tanh
keras activations: celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh
    identity leaky_relu log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink
    softmax softplus soft_sign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh
    tanh_shrink threshold
torch activations: celu elu gelu glu hard_shrink hard_sigmoid hard_swish hard_tanh leaky_relu
    log_sigmoid log_softmax mish prelu relu relu6 rrelu selu sigmoid silu soft_shrink soft_sign
    softmax softmin softplus tanh tanh_shrink threshold
"""  # by the names used here, which are jax's where jax has the thing


@pytest.mark.parametrize("passage", ELSEWHERE.strip().replace("\n    ", " ").splitlines())
def test_whoever_comes_from_another_library_finds_what_it_had(passage):
    library, names = passage.split(": ")
    assert set(names.split()) <= set(TABLES[library.split()[1]])
