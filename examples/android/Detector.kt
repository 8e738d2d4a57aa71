// Finds things in a picture, with a .tflite file that edgekit exported, on Android. It needs Network.kt.
//
//   edgekit export runs/signs --device android --outputs final --out exported
//
// The file suppresses boxes that overlap better ones itself.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.RectF

class Detector(context: Context) : AutoCloseable {
    private val network = Network(context)

    /** Something in a picture: what it is, how certain that is, 0..1, and where, in pixels of the picture. */
    data class Thing(val label: String, val score: Float, val box: RectF)

    /** What is seen in an upright picture, the most certain first. */
    fun detect(picture: Bitmap, leastScore: Float = 0.3f): List<Thing> {
        val found = network.run(picture)
        val boxes = found.getValue("detection_boxes")  // top, left, bottom, right, in shares of what the network sees
        val classes = found.getValue("detection_classes")
        val scores = found.getValue("detection_scores")
        val seen = network.seen(picture)
        val count = found.getValue("num_detections")[0].toInt()
        return (0 until count).filter { scores[it] >= leastScore }.map {
            val (top, left, bottom, right) = boxes.slice(4 * it until 4 * it + 4)
            val box = RectF(
                seen.left + left * seen.width(), seen.top + top * seen.height(),
                seen.left + right * seen.width(), seen.top + bottom * seen.height(),
            )
            Thing(network.label(classes[it].toInt()), scores[it], box)
        }
    }

    override fun close() = network.close()
}
