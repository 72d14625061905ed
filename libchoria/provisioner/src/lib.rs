//! The Choria Provisioner as a library: finds nodes that wait, asks a helper what they become, sends it to them.
