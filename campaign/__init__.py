# SPDX-License-Identifier: Apache-2.0
"""Ten thousand random OOMs, compared with a model of the order: `python3 -m campaign`.

`plan` has the rounds, `results` the file of those that ended, and `page` the tables of `docs/campaign.md`.
`rounds` runs one round in a guest of its own, and `guest` is its part there. The scenes and the model are those of the
node tests: `tests/node/scene.py`, `tests/node/scored_scene.py` and `tests/node/model.py`.
Not here: a test that must pass (`tests/node`), and measurements of time (`benchmarks`).
"""
