//! The observer of commits: it feeds the log, the statistics and the statuses.

use super::{
    event_log::EventLog,
    graph_stats::{GraphStats, GraphStatsRecorder},
    status_index::StatusIndex,
};
use crate::{
    refused::Errors,
    status::{Mark, StatusEvent},
};
use std::sync::Arc;
use switchyard_core::{Change, Graph, ObjectId};

#[derive(Debug, Default)]
pub(super) struct Observer {
    pub(super) event_log: EventLog,
    status_index: StatusIndex,
    stats: GraphStatsRecorder,
}

// === impl Observer ===

impl Observer {
    pub(super) fn graph_stats(&self) -> Arc<GraphStats> {
        self.stats.graph_stats()
    }

    /// Records an applied or deleted object.
    pub(super) fn touched(&mut self, id: &ObjectId) {
        self.status_index.touched(id);
    }

    /// Observes a commit, and returns the events for statuses.
    pub(super) fn committed(
        &mut self,
        graph: &Graph,
        change: &Change,
        mark: Mark,
        refused: Errors,
    ) -> Vec<StatusEvent> {
        let notices = self.event_log.committed(graph, change, mark.generation);
        self.stats.committed(graph, change, &self.event_log);
        let notices = notices
            .into_iter()
            .map(|(name, notice)| StatusEvent::Notice(name, notice));
        notices.chain(self.judged(graph, change, mark, refused)).collect()
    }

    /// Observes errors of the same objects, and returns the events for statuses.
    pub(super) fn refused(&mut self, graph: &Graph, mark: Mark, refused: Errors) -> Vec<StatusEvent> {
        self.judged(graph, &Change::default(), mark, refused).into()
    }

    fn judged(&mut self, graph: &Graph, change: &Change, mark: Mark, refused: Errors) -> [StatusEvent; 1] {
        self.status_index.refused(refused);
        let judged = self.status_index.committed(graph, &self.event_log, change, mark);
        [StatusEvent::Judged(judged)]
    }
}
