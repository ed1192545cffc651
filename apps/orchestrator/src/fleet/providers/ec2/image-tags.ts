/** On the AMI and its snapshot, from the call that makes them. */
export const imageTagKeys = {
  /** Whose image it is: what the publisher's rights go by. */
  image: "mayfly:image",
  /** The digest of the disk it was made from: what `fleet.ec2.image_digest` names. */
  digest: "mayfly:image-digest",
  /** The ARN of the key it is encrypted with, or `default` for the account's own one for EBS. */
  key: "mayfly:image-key",
} as const;
