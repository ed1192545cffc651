/** On everything a launch makes and on nothing else: whoever may end machines may end what carries it. */
export const FLEET_TAG = "mayfly:fleet";
/** On everything of a deployment, machines too: for the budget. No right hangs on it. */
export const DEPLOYMENT_TAG = "mayfly:deployment";
/** On machine images and their snapshots: whoever publishes may remove what carries it. */
export const IMAGE_TAG = "mayfly:image";
