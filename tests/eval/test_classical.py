import warnings

import numpy as np
import pytest
from scipy.optimize import minimize

from archrank.eval.engine.batching import Member
from archrank.eval.engine.heads.kernels import gp_pipeline
from archrank.eval.engine.heads.linear_models import LastHidden, dngo_pipeline
from archrank.eval.engine.regressors import fit_predict, fit_regressor


def problem(count, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, 4))
    return features, np.sin(2 * features[:, 0]) + features[:, 1] * features[:, 2] + 0.1 * rng.standard_normal(count)


def test_dngo_is_bayesian_linear_regression_at_the_highest_marginal_likelihood():
    features, labels = problem(90)
    model = dngo_pipeline(seed=0, passes=80)
    model.fit(features, labels)
    hidden = model[:-1].transform(features)
    assert hidden.shape == (90, 50) and np.abs(hidden).max() <= 1
    network = model[-2].network_
    assert np.allclose(
        hidden @ network.coefs_[-1][:, 0] + network.intercepts_[-1], network.predict(model[:-2].transform(features))
    )

    centre, mean = hidden.mean(0), labels.mean()
    x, y = hidden - centre, labels - mean
    values, vectors = np.linalg.eigh(x @ x.T)
    turned = vectors.T @ y

    def surprise(logs):  # of y ~ N(0, I / beta + x x^T / alpha)
        variance = np.exp(-logs[1]) + np.maximum(values, 0) * np.exp(-logs[0])
        return 0.5 * (np.log(variance) + turned**2 / variance).sum()

    actual = min(
        (
            minimize(
                surprise, [0.0, start], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 4000}
            )
            for start in (0.0, 5.0, 10.0)
        ),
        key=lambda result: result.fun,
    )
    precision, noise = np.exp(actual.x)
    assert np.log([model[-1].lambda_, model[-1].alpha_]) == pytest.approx(actual.x, abs=0.05)
    fresh, scores = problem(200, seed=1)
    weights = np.linalg.solve(noise * x.T @ x + precision * np.eye(50), noise * x.T @ y)
    expected = (model[:-1].transform(fresh) - centre) @ weights + mean
    assert model.predict(fresh) == pytest.approx(expected, abs=0.02 * np.ptp(expected))
    line = fit_regressor("ridge", features, labels, 0).predict(fresh)
    assert np.corrcoef(expected, scores)[0, 1] > 0.7 > np.corrcoef(line, scores)[0, 1] + 0.1


def test_dngo_repeats_itself_and_its_end_is_no_complaint():
    features, labels = problem(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two, other = (LastHidden(seed, passes=3).fit(features, labels).transform(features) for seed in (1, 1, 2))
    assert np.array_equal(one, two) and not np.allclose(one, other)


def test_none_predicts_the_number_itself_whatever_the_labels():
    features = np.arange(10.0)[:, None]
    for labels in (np.arange(4.0), -np.arange(4.0)):
        assert fit_predict(
            features, Member(0, np.arange(4), labels, np.arange(4, 10)), "none"
        ).predictions.tolist() == [4, 5, 6, 7, 8, 9]
    # The same number for every training architecture is no hindrance to a ranking that is not trained.
    alike = np.concatenate([np.ones((4, 1)), features])
    assert fit_predict(alike, Member(0, np.arange(4), np.arange(4.0), np.arange(4, 14)), "none").problem is None
    with pytest.raises(ValueError, match="this one has 4"):
        fit_predict(problem(10)[0], Member(0, np.arange(4), np.arange(4.0), np.arange(4, 10)), "none")


def test_a_process_on_many_features_is_the_one_on_their_span():
    rng = np.random.default_rng(0)
    features, y = (rng.random((60, 300)) < 0.1).astype(float), rng.standard_normal(60)
    short = gp_pipeline(0, 2.0).fit(features[:20], y[:20])
    assert short[1].transform(short[0].transform(features)).shape == (60, 21)
    long = short[2].__class__(short[2].kernel, normalize_y=True, random_state=0).fit(features[:20] / 2.0, y[:20])
    assert np.allclose(short.predict(features), long.predict(features / 2.0), atol=1e-5)


def test_what_a_regressor_draws_is_the_members_own_and_repeats_itself():
    features, labels = problem(40)
    one, again, other = (
        fit_predict(features, Member(seed, np.arange(20), labels[:20], np.arange(20, 40)), "boosting").predictions
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again) and not np.allclose(one, other)
