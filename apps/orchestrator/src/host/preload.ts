import { fastify } from "fastify";

/**
 * Makes libraries load what they otherwise load late. Root's own folders are closed to the service user, so a clone there
 * cannot be read any more once root has been dropped.
 */
export async function preloadLateModules(): Promise<void> {
  const app = fastify();
  app.post("/", async () => ({}));
  const answer = await app.inject({ method: "POST", url: "/", payload: {} });
  await answer.json();
  await app.close();
}
