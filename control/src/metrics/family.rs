//! Families of metrics in the classic text format.
//!
//! The encoder writes OpenMetrics, which names a counter `x` in HELP and TYPE, and `x_total` in samples. The classic
//! format, which `promtool check metrics` reads, has `x_total` in all three. Gauges and histograms are the same in
//! both, and use the encoder as it is; the samples of a counter are written like those of a gauge, whose names the
//! encoder does not change.

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric, GaugeValueEncoder},
    metrics::{MetricType, histogram::Histogram},
};
use std::fmt;

/// The text of a scrape, as it is written.
#[derive(Debug)]
pub struct Exposition<'a>(pub DescriptorEncoder<'a>);

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Integer(u64),
    Real(f64),
}

/// The name of a label, its value, and the value of the sample.
pub type Labelled<'l> = (&'static str, &'l str, Value);

// === impl Exposition ===

impl Exposition<'_> {
    /// # Errors
    ///
    /// If the text cannot be written, as for all methods here.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.single(MetricType::Gauge, name, help, Value::Integer(value))
    }

    /// # Errors
    ///
    /// See [`Exposition::gauge`].
    pub fn gauge_of(&mut self, name: &str, help: &str, value: Value) -> fmt::Result {
        self.single(MetricType::Gauge, name, help, value)
    }

    /// # Errors
    ///
    /// See [`Exposition::gauge`].
    pub fn counter(&mut self, name: &str, help: &str, value: Value) -> fmt::Result {
        self.single(MetricType::Counter, name, help, value)
    }

    /// # Errors
    ///
    /// See [`Exposition::gauge`].
    pub fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Labelled<'l>>,
    ) -> fmt::Result {
        self.family(MetricType::Gauge, name, help, samples)
    }

    /// # Errors
    ///
    /// See [`Exposition::gauge`].
    pub fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Labelled<'l>>,
    ) -> fmt::Result {
        self.family(MetricType::Counter, name, help, samples)
    }

    /// # Errors
    ///
    /// See [`Exposition::gauge`].
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram.encode(encoder)
    }

    fn single(&mut self, kind: MetricType, name: &str, help: &str, value: Value) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, kind)?
            .encode_gauge(&value)
    }

    fn family<'l>(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Labelled<'l>>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (label, of, value) in samples {
            encoder.encode_family(&[(label, of)])?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

// === impl Value ===

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.encode(encoder),
            Self::Real(value) => value.encode(encoder),
        }
    }
}
