#!/usr/bin/env python3
"""Two rules on reaching, side by side: NRL and the exact gradient that it estimates.

    .venv/bin/python examples/compare_rules.py [--steps N] [--seed S] [--out FOLDER]

A comparison changes one thing. Here that is the rule; step size, network, task, seeds and
reward-prediction error are the same. Other rules, and the step sizes that suit them: docs/rules.
"""

from in_process import arguments, save_curves, score, seeds, settings_of, train

RULES = {
    'nrl': [],
    'backpropagation': ['learner.plasticity.rule=backpropagation'],
}


def main() -> None:
    """Train with each rule, then show both."""
    chosen = arguments(__doc__, steps=500_000)
    curves, scores = {}, {}
    for name, overrides in RULES.items():
        settings = settings_of('reaching', *seeds(chosen.seed), *overrides)
        before = score(settings, None)
        learner, curves[name] = train(settings, chosen.steps, name)
        scores[name] = f'{before} before, {score(settings, learner)} after'
    for name, text in scores.items():
        print(f'{name}: greedy policy: {text}')
    save_curves(curves, 'reaching', chosen.out / 'compare_rules.png')


if __name__ == '__main__':
    main()
