/** What is to be placed: the node 0 lies in the middle, and each link joins two nodes. */
export interface GraphShape {
  groups: Uint32Array;
  links: Uint32Array;
}

/** Places in pixels: x and y of each node in turn, all positive, within width and height. */
export interface GraphPlaces {
  places: Float32Array;
  width: number;
  height: number;
}
