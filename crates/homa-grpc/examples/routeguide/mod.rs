//! The route guide of tonic's streaming example, the same over any transport: the service and what its
//! client does with it.
#![allow(dead_code, reason = "servers use one half of it, clients the other")]

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use homa_grpc_interop::Channel;
use homa_grpc_interop::routeguide::route_guide_client::RouteGuideClient;
use homa_grpc_interop::routeguide::route_guide_server::RouteGuide;
use homa_grpc_interop::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// What the guide knows, and the notes that were left with it.
#[derive(Debug, Clone)]
pub(crate) struct Guide {
    features: Arc<Vec<Feature>>,
    notes: Arc<Mutex<Notes>>,
}

/// By latitude and longitude.
type Notes = HashMap<(i32, i32), Vec<RouteNote>>;

impl Default for Guide {
    fn default() -> Self {
        let features = (0..100).map(|number| Feature {
            name: format!("Hill {number}"),
            location: Some(point(400_000_000 + number * 100_000, -750_000_000 + number * 70_000)),
        });
        Self { features: Arc::new(features.collect()), notes: Arc::default() }
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RouteGuide for Guide {
    type ListFeaturesStream = Responses<Feature>;
    type RouteChatStream = Responses<RouteNote>;

    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let location = Some(request.into_inner());
        let found = self.features.iter().find(|feature| feature.location == location).cloned();
        Ok(Response::new(found.unwrap_or(Feature { name: String::new(), location })))
    }

    async fn list_features(
        &self,
        request: Request<Rectangle>,
    ) -> Result<Response<Self::ListFeaturesStream>, Status> {
        let (sender, receiver) = mpsc::channel(4);
        let (guide, rectangle) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            for feature in guide.features.iter() {
                let is_inside =
                    feature.location.as_ref().is_some_and(|point| in_range(point, &rectangle));
                if is_inside && sender.send(Ok(feature.clone())).await.is_err() {
                    // The client has gone.
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn record_route(
        &self,
        request: Request<Streaming<Point>>,
    ) -> Result<Response<RouteSummary>, Status> {
        let mut points = request.into_inner();
        let mut summary = RouteSummary::default();
        let mut last: Option<Point> = None;
        let begin = Instant::now();
        while let Some(point) = points.next().await {
            let point = point?;
            summary.point_count += 1;
            let here = Some(&point);
            let features = self.features.iter();
            summary.feature_count +=
                features.filter(|feature| feature.location.as_ref() == here).count() as i32;
            summary.distance += last.map_or(0, |last| distance(&last, &point));
            last = Some(point);
        }
        summary.elapsed_time = begin.elapsed().as_secs() as i32;
        Ok(Response::new(summary))
    }

    async fn route_chat(
        &self,
        request: Request<Streaming<RouteNote>>,
    ) -> Result<Response<Self::RouteChatStream>, Status> {
        let notes = Arc::clone(&self.notes);
        let mut asked = request.into_inner();
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(Ok(note)) = asked.next().await {
                let at = note.location.unwrap_or_default();
                let mut notes = notes.lock().await;
                let left = notes.entry((at.latitude, at.longitude)).or_default();
                left.push(note);
                for note in left.clone() {
                    if sender.send(Ok(note)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// What the client of the example does: all four kinds of calls.
pub(crate) async fn tour(channel: Channel) -> Result<(), Box<dyn Error>> {
    let mut client = RouteGuideClient::new(channel);

    println!("*** SIMPLE RPC ***");
    let feature = client.get_feature(point(400_100_000, -749_930_000)).await?;
    println!("FEATURE = {:?}", feature.into_inner().name);

    println!("*** SERVER STREAMING ***");
    let rectangle = Rectangle {
        lo: Some(point(400_000_000, -750_000_000)),
        hi: Some(point(402_000_000, -740_000_000)),
    };
    let mut features = client.list_features(rectangle).await?.into_inner();
    while let Some(feature) = features.message().await? {
        println!("FEATURE = {:?}", feature.name);
    }

    println!("*** CLIENT STREAMING ***");
    let points = (0..50).map(|number| point(400_000_000 + number * 50_000, -750_000_000));
    let summary = client.record_route(tokio_stream::iter(points)).await?.into_inner();
    println!("SUMMARY: {} points, {} metres", summary.point_count, summary.distance);

    println!("*** BIDIRECTIONAL STREAMING ***");
    let notes = tokio_stream::iter(0..4).then(|number| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        RouteNote { location: Some(point(1, 2)), message: format!("at {number}") }
    });
    let mut answers = client.route_chat(notes).await?.into_inner();
    while let Some(note) = answers.message().await? {
        println!("NOTE = {:?}", note.message);
    }
    Ok(())
}

fn point(latitude: i32, longitude: i32) -> Point {
    Point { latitude, longitude }
}

fn in_range(point: &Point, rectangle: &Rectangle) -> bool {
    let (Some(a), Some(b)) = (&rectangle.lo, &rectangle.hi) else { return false };
    let within = |value: i32, a: i32, b: i32| (a.min(b)..=a.max(b)).contains(&value);
    within(point.latitude, a.latitude, b.latitude)
        && within(point.longitude, a.longitude, b.longitude)
}

/// Metres between two points, along the great circle.
fn distance(from: &Point, to: &Point) -> i32 {
    const EARTH_RADIUS: f64 = 6_371_000.0;
    let radians = |value: i32| (f64::from(value) / 1e7).to_radians();
    let (lat1, lat2) = (radians(from.latitude), radians(to.latitude));
    let half_lat = (lat2 - lat1) / 2.0;
    let half_lng = (radians(to.longitude) - radians(from.longitude)) / 2.0;
    let a = half_lat.sin().powi(2) + lat1.cos() * lat2.cos() * half_lng.sin().powi(2);
    (EARTH_RADIUS * 2.0 * a.sqrt().atan2((1.0 - a).sqrt())) as i32
}
