//! A face's end of the trunk: what comes from the other face goes out on links, and what became of
//! our own stanzas goes to the holder.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::face::FaceState;
use crate::link::Links;
use crate::trunk::Crossing;

/// Serves one end until the other is gone.
pub async fn serve(mut crossings: UnboundedReceiver<Crossing>, face: Arc<FaceState>, links: Arc<Links>) {
    while let Some(crossing) = crossings.recv().await {
        match crossing {
            Crossing::Stanza { pair, number, stanza, .. } => links.put(pair, number, stanza),
            Crossing::Taken { pair, up_to } => face.holder.taken(&pair, up_to),
            Crossing::Refused { pair, number, why } => {
                if let Some(error) = face.holder.refused(&pair, number, &why) {
                    links.send_back(pair.reversed(), error);
                }
            }
            Crossing::Recall { .. } | Crossing::Unsent { .. } => {}
        }
    }
}
