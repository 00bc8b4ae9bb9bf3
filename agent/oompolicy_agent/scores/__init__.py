# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the backend OOMScoreAdj: what it asks of the adjuster, and what it concludes from the reports.

`request` builds and writes wanted.json, `reports` reads the adjuster's reports, `state` judges them for the status, and
`verdicts` judges each victim. `follower` connects them. All decisions are pure.
Here does not belong anything that decides or writes a score: that is `adjuster`.
"""
