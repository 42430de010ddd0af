"""Kinship of optimizers, at most seven to a family: for figures and lists."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "plain, heavy, Polyak": (
        "sgd", "momentum", "nesterov", "noisy_sgd", "polyak_sgd", "momo", "momo_adam",
    ),
    "averaged, optimistic": (
        "asgd", "ademamix", "simplified_ademamix", "schedule_free_adamw", "schedule_free_sgd",
        "optimistic_adam", "optimistic_gradient_descent",
    ),
    "a rate per weight": (
        "adagrad", "adadelta", "rmsprop", "ftrl", "madgrad", "adafactor", "sm3",
    ),
    "signs and layers": ("sign_sgd", "signum", "rprop", "lion", "fromage", "lars", "novograd"),
    "Adam": ("adam", "adamw", "amsgrad", "nadam", "nadamw", "radam", "lamb"),
    "Adam's relatives": ("acprop", "adabelief", "adamax", "adamaxw", "adan", "adopt", "yogi"),
    "parameter-free": ("cocob", "dadapt_adamw", "dog", "dowg", "prodigy"),
    "curvature, matrices": ("lbfgs", "galore", "muon", "shampoo", "soap", "sophia"),
}  # fmt: skip
