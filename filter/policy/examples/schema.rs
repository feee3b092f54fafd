//! Prints the JSON Schema of the configuration: `deploy/static/switchyard.schema.json`.

#[allow(clippy::print_stdout)]
fn main() {
    println!("{:#}", switchyard_policy::config::schema::json_schema());
}
