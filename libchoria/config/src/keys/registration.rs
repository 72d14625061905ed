//! Registration: what a server tells about itself regularly (spec 04b §4).

use crate::key::{Boolean, CommaList, Integer, Text};
use crate::rule::Rule;

keys! {
    "Registration";

    REGISTRATION: CommaList = key("registration",
        "What a server publishes regularly about itself; empty publishes nothing.")
        .one_of(&["file_content", "inventory_content"]);

    REGISTRATION_COLLECTIVE: Text = key("registration_collective",
        "Collective in which registration data is published; the server must have joined it. When unset \
         the main collective.")
        .rule(Rule::Collective);

    REGISTERINTERVAL: Integer = key("registerinterval",
        "Seconds between two publications of registration data.")
        .default("300").rule(Rule::Between(1, i64::MAX));

    REGISTRATION_SPLAY: Boolean = key("registration_splay",
        "Whether the first publication waits for a random part of the interval.")
        .default("true");

    REGISTRATION_FILE_CONTENT_DATA: Text = key("plugin.choria.registration.file_content.data",
        "File that `file_content` publishes.");

    REGISTRATION_FILE_CONTENT_TARGET: Text = key("plugin.choria.registration.file_content.target",
        "Subject that `file_content` publishes to instead of the registration agent's.");

    REGISTRATION_FILE_CONTENT_COMPRESSION: Boolean = key("plugin.choria.registration.file_content.compression",
        "Whether `file_content` compresses the data with gzip.")
        .default("true");

    REGISTRATION_INVENTORY_CONTENT_COMPRESSION: Boolean = key("plugin.choria.registration.inventory_content.compression",
        "Whether `inventory_content` compresses the data with gzip.")
        .default("true");

    REGISTRATION_INVENTORY_CONTENT_TARGET: Text = key("plugin.choria.registration.inventory_content.target",
        "Subject that `inventory_content` publishes to instead of the registration agent's.");

    REGISTRATION_SIZE_TRIGGER: Integer = key("plugin.choria.registration.size_trigger",
        "Bytes by which the data has to change in size to be published before its time; 0 turns this off.")
        .default("0").rule(Rule::Between(0, i64::MAX));

    REGISTRATION_SIZE_INTERVAL: Integer = key("plugin.choria.registration.size_interval",
        "Seconds between two looks at the size of the data, when the size trigger is on.")
        .default("30").rule(Rule::Between(1, i64::MAX));

}
