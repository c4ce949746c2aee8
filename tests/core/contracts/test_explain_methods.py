"""What is said of the methods of attribution fits the jobs that name them."""

from __future__ import annotations

import dataclasses

import pytest

from freshet.core.contracts.explain_methods import METHOD_WORDS, WITHOUT_GRADIENTS
from freshet.core.contracts.result_jobs import METHODS, ExplainJob


def test_every_method_of_a_job_has_its_words_in_the_same_order():
    assert tuple(METHOD_WORDS) == METHODS
    assert WITHOUT_GRADIENTS == ("occlusion-space", "occlusion-time", "gaussian", "rise", "shapley")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_reads_fields_of_a_job_and_tells_what_it_assumes_and_costs(name):
    known = METHOD_WORDS[name]
    assert known.name == name and set(known.reads) <= {item.name for item in dataclasses.fields(ExplainJob)}
    assert ("samples" in known.reads) == ("each sample" in known.costs or "and sample" in known.costs)
    assert known.assumes.endswith(".") and known.costs.endswith(".")
    if not known.gradients:
        assert "Needs no gradients" in known.costs
