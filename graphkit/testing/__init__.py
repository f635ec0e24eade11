"""The laws that every layer, pool, decoder and model keeps, ready to run over one's own.

>>> from graphkit.testing import check_layer
>>> from graphkit.nn import SAGEConv
>>> check_layer(SAGEConv)[:3]
['equivariance', 'batching', 'blocks']
"""

from graphkit.testing.hyper import HYPER_LAWS, HyperSample, check_hyper_layer, hyper_sample
from graphkit.testing.hyper_models import HYPER_MODEL_LAWS, hyper_spec
from graphkit.testing.layers import LAYER_LAWS, check_layer
from graphkit.testing.models import MODEL_LAWS, check_model
from graphkit.testing.pools import DECODER_LAWS, POOL_LAWS, check_decoder, check_pool
from graphkit.testing.sample import LawBroken, Sample, sample
from graphkit.testing.temporal import TEMPORAL_LAWS, check_temporal

__all__ = [
    "DECODER_LAWS",
    "HYPER_LAWS",
    "HYPER_MODEL_LAWS",
    "HyperSample",
    "LAYER_LAWS",
    "LawBroken",
    "MODEL_LAWS",
    "POOL_LAWS",
    "Sample",
    "TEMPORAL_LAWS",
    "check_decoder",
    "check_hyper_layer",
    "check_layer",
    "check_model",
    "check_pool",
    "check_temporal",
    "hyper_sample",
    "hyper_spec",
    "sample",
]
