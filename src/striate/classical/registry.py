"""Where features, classifiers and the table's rows register; names, help and facts are literals, read without importing scikit-learn.

    @feature("hog", help="Histogram of oriented gradients", row="C hog")
    class HOG(Feature): ...

    @baseline("hog-svm", help="HOG, linear SVM", group="features", quick=True)
    def hog_svm(shape, seed): return make_pipeline(...)

A classifier or feature joins by standing, decorated, in a file of its own under `features/` or `estimators/`; a row of the table in one under
`baselines/`.
"""

from __future__ import annotations

from striate.core.registry import Registry

features = Registry("feature", package="striate.classical.features")
feature = features.register

estimators = Registry("estimator", package="striate.classical.estimators")
estimator = estimators.register

baselines = Registry("baseline", package="striate.classical.baselines")
baseline = baselines.register
