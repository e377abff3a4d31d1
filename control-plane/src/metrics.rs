//! The control plane's metrics.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use sluice_service::Metrics as Registry;

/// What the control plane counts.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Nodes by state.
    pub(crate) nodes: IntGaugeVec,
    /// The route table's version.
    pub(crate) table_version: IntGauge,
    /// Reports taken.
    pub(crate) reports: IntCounter,
    /// Probes of nodes, by result.
    pub(crate) probes: IntCounterVec,
    /// How well each node serves, as this control plane sees it, in percent.
    pub(crate) health: IntGaugeVec,
    /// Reports refused, by reason.
    pub(crate) reports_refused: IntCounterVec,
    /// Tables sent, whole or as changes.
    pub(crate) tables: IntCounterVec,
    /// What was refused, by what it was.
    pub(crate) refused: IntCounterVec,
    /// The version of the configuration in force.
    pub(crate) config_version: IntGauge,
    /// Edges waiting for a newer table.
    pub(crate) waiting: IntGauge,
    /// Those who look on at the fleet.
    pub(crate) listeners: IntGauge,
    /// Plans made of what edges are to fetch ahead of demand, and bytes of them.
    pub(crate) plans: IntCounter,
    pub(crate) planned_bytes: IntCounter,
    /// Media groups that forecasts are made of, of all sites.
    pub(crate) forecast_keys: IntGauge,
    /// Sessions steered, by reason.
    pub(crate) steered: IntCounterVec,
    /// Questions about names, by what was answered.
    pub(crate) dns: IntCounterVec,
    /// Redirects answered.
    pub(crate) redirected: IntCounter,
    /// From a purge's commit to the report of the last ready edge that it is applied.
    pub(crate) purge_delay: HistogramVec,
}

impl Metrics {
    pub(crate) fn new(r: &Registry) -> Self {
        Self {
            nodes: r.gauges("sluice_control_nodes", "Nodes by state", &["state"]),
            table_version: r.gauge("sluice_control_table_version", "The route table's version"),
            reports: r.counter("sluice_control_reports_total", "Reports taken"),
            probes: r.counters("sluice_control_probes_total", "Probes of nodes, by result", &["result"]),
            health: r.gauges(
                "sluice_control_node_health",
                "How well a node serves, seen from here, in percent",
                &["node"],
            ),
            reports_refused: r.counters(
                "sluice_control_reports_refused_total",
                "Reports refused, by reason; nothing of them is kept",
                &["reason"],
            ),
            tables: r.counters("sluice_control_tables_total", "Tables sent, whole or as changes", &["form"]),
            refused: r.counters(
                "sluice_control_refused_total",
                "What was refused, by what it was",
                &["what"],
            ),
            config_version: r
                .gauge("sluice_control_config_version", "The version of the fleet's configuration"),
            waiting: r.gauge("sluice_control_waiting", "Edges waiting for a newer table"),
            listeners: r.gauge("sluice_control_listeners", "Those who look on at the fleet"),
            steered: r.counters("sluice_control_steering_total", "Sessions steered, by reason", &["reason"]),
            dns: r.counters(
                "sluice_control_dns_total",
                "Questions about names, by what was answered",
                &["answer"],
            ),
            plans: r
                .counter("sluice_control_plans_total", "Plans made of what a site fetches ahead of demand"),
            planned_bytes: r.counter("sluice_control_planned_bytes_total", "Bytes of plans"),
            forecast_keys: r
                .gauge("sluice_control_forecast_keys", "Media groups of sites that forecasts are made of"),
            redirected: r.counter("sluice_control_redirects_total", "Redirects answered"),
            purge_delay: r.seconds(
                "sluice_control_purge_seconds",
                "From a purge's commit to the last ready edge's report that it is applied",
                &[],
            ),
        }
    }
}
