# SPDX-License-Identifier: Apache-2.0
"""From a record of the ring buffer to a report that has arrived: record, owner, Event, spool, sink.

Here belongs everything that keeps and names victims, also when nobody can receive a report.
Here does not belong how an Event is posted: that is `api`.
"""
