//! What a user sees: commands in, exit codes, output and files out. Fresh folders, an empty environment, fixed columns.

mod answers;
mod apart;
mod apps;
mod batches;
mod broken;
mod catalogs;
mod ci;
mod complaints;
mod estimate;
mod formats;
mod imports;
mod mistakes;
mod networks;
mod nights;
mod pages;
mod paper;
mod plans;
mod prices;
mod recipes;
mod replay;
mod savings;
mod simulate;
mod stores;
mod surroundings;
mod what_ifs;
mod worlds;
